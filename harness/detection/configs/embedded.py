"""Mask R-CNN on one stride-16 map (C4) as the originals' detector, small enough to train on two cores.

Differences from ``_base_/models/mask-rcnn_r50-caffe-c4.py`` of mmdet: widths, crop-and-resize pooling as in
lichengunc/mask-faster-rcnn, batch norm trained from scratch, 64 regions an image.
"""
custom_imports = dict(
    imports=['harness.detection.c4_head', 'harness.detection.crop', 'harness.detection.resizing'],
    allow_failed_imports=False)

num_classes = 18
input_scale = 1.5  # network-input pixels per image pixel
boxes_decoded_in = 'input'  # pixels
test_pipeline = [dict(type='ScaleBy', scale=input_scale)]
c4_channels = 96
head_planes = 56  # layer4 has 4 × 56 = 224 channels
fc7_channels = 4 * head_planes

norm_cfg = dict(type='BN', requires_grad=True)

model = dict(
    type='MaskRCNN',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[110.0, 110.0, 110.0],
        std=[60.0, 60.0, 60.0],
        bgr_to_rgb=False,
        pad_mask=True,
        pad_size_divisor=16),
    backbone=dict(
        type='ResNet',
        depth=18,
        base_channels=24,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(2, ),
        frozen_stages=-1,
        norm_cfg=norm_cfg,
        norm_eval=False,
        style='pytorch'),
    rpn_head=dict(
        type='RPNHead',
        in_channels=c4_channels,
        feat_channels=c4_channels,
        anchor_generator=dict(
            type='AnchorGenerator', scales=[1.5, 3, 6, 12, 24], ratios=[0.5, 1.0, 2.0], strides=[16]),
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder', target_means=[.0, .0, .0, .0], target_stds=[1.0, 1.0, 1.0, 1.0]),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type='L1Loss', loss_weight=1.0)),
    roi_head=dict(
        type='StandardRoIHead',
        shared_head=dict(type='C4Head', in_channels=c4_channels, planes=head_planes, blocks=2),
        bbox_roi_extractor=dict(type='CropRoIExtractor', out_channels=c4_channels),
        bbox_head=dict(
            type='BBoxHead',
            with_avg_pool=True,
            roi_feat_size=7,
            in_channels=fc7_channels,
            num_classes=num_classes,
            bbox_coder=dict(
                type='DeltaXYWHBBoxCoder',
                target_means=[0., 0., 0., 0.],
                target_stds=[0.1, 0.1, 0.2, 0.2]),
            reg_class_agnostic=False,
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type='L1Loss', loss_weight=1.0)),
        mask_roi_extractor=None,
        mask_head=dict(
            type='FCNMaskHead',
            num_convs=0,
            in_channels=fc7_channels,
            conv_out_channels=64,
            num_classes=num_classes,
            loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0))),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                type='MaxIoUAssigner',
                pos_iou_thr=0.7,
                neg_iou_thr=0.3,
                min_pos_iou=0.3,
                match_low_quality=True,
                ignore_iof_thr=-1),
            sampler=dict(type='RandomSampler', num=128, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=False),
            allowed_border=0,
            pos_weight=-1,
            debug=False),
        rpn_proposal=dict(
            nms_pre=1000, max_per_img=300, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0),
        rcnn=dict(
            assigner=dict(
                type='MaxIoUAssigner',
                pos_iou_thr=0.5,
                neg_iou_thr=0.5,
                min_pos_iou=0.5,
                match_low_quality=False,
                ignore_iof_thr=-1),
            sampler=dict(type='RandomSampler', num=64, pos_fraction=0.25, neg_pos_ub=-1, add_gt_as_proposals=True),
            mask_size=14,
            pos_weight=-1,
            debug=False)),
    test_cfg=dict(
        rpn=dict(nms_pre=1000, nms=dict(type='nms', iou_threshold=0.7), max_per_img=100, min_bbox_size=0),
        rcnn=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.3), max_per_img=100, mask_thr_binary=0.5)))
