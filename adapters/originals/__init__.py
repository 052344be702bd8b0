"""Readers and writers of the files of the original programs.

====================== ===============================================================================================
module                 files
====================== ===============================================================================================
``mattnet_data``       MAttNet's and CM-A-E's ``data.json``, and NMTree's ``data_dep.json``
``detections``         ``*_dets.json`` and ``matt_dets_*.json``
``masks``              ``*_masks.json`` and ``matt_mask_*.json``
``features``           ``*_det_feats.h5``, ``*_ann_feats.h5``, ``matt_feats_*.h5`` and head features, one file per image
``ref_nms_data``       ``std_refdb``, ``std_ctxdb``, ``std_vocab`` and ``std_glove``
``ref_nms_proposals``  ``proposals_*.pkl``
``results``            what ``eval_dets``, ``eval_ref``, ``eval_masks`` and NMTree's ``eval_det`` save
====================== ===============================================================================================

``layout`` says where the originals keep them; ``export`` writes them from a run, ``check_data`` tells which exist.
"""
