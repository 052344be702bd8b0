"""The originals' detector: ResNet-101 Mask R-CNN on one stride-16 map (C4), for inference with converted weights.

Source: ``lib/nets/resnet_v1.py``, ``lib/nets/network.py``, ``lib/model/config.py`` and ``experiments/cfgs/res101.yml``
of lichengunc/mask-faster-rcnn, with the anchor scales of ``lib/mrcn/inference_no_imdb.py`` of lichengunc/MAttNet.
mmdet's parts are taken where they give the same numbers; ``harness.detection`` registers the others.
"""
custom_imports = dict(
    imports=['harness.detection.c4_head', 'harness.detection.crop', 'harness.detection.inclusive_boxes',
             'harness.detection.painted_masks', 'harness.detection.resizing'],
    allow_failed_imports=False)

num_classes = 80
boxes_decoded_in = 'image'  # pixels: there the 1 of an inclusive width is one pixel

# Blue, green, red; the means are off before the image is resized.
test_pipeline = [
    dict(type='Normalize', mean=[102.9801, 115.9465, 122.7717], std=[1.0, 1.0, 1.0], to_rgb=False),
    dict(type='FitShortSide', short=600, long=1000),
]

model = dict(
    type='MaskRCNN',
    data_preprocessor=dict(type='DetDataPreprocessor'),
    backbone=dict(
        type='ResNet',
        depth=101,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(2, ),
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        style='caffe'),
    rpn_head=dict(
        type='RPNHead',
        in_channels=1024,
        feat_channels=512,
        anchor_generator=dict(
            type='InclusiveAnchorGenerator', scales=[4, 8, 16, 32], ratios=[0.5, 1.0, 2.0], strides=[16]),
        bbox_coder=dict(type='InclusiveBoxCoder'),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False)),
    roi_head=dict(
        type='StandardRoIHead',
        shared_head=dict(type='C4Head', in_channels=1024, planes=512, blocks=3, style='caffe'),
        bbox_roi_extractor=dict(type='CropRoIExtractor', out_channels=1024),
        bbox_head=dict(
            type='BBoxHead',
            with_avg_pool=True,
            roi_feat_size=7,
            in_channels=2048,
            num_classes=num_classes,
            bbox_coder=dict(type='InclusiveBoxCoder', target_stds=[0.1, 0.1, 0.2, 0.2], one_sided_clip=True),
            reg_class_agnostic=False),
        mask_roi_extractor=None,
        mask_head=dict(
            type='PaintedMaskHead',
            num_convs=0,
            in_channels=2048,
            conv_out_channels=256,
            num_classes=num_classes)),
    train_cfg=None,
    # Without a smallest size. offset=1 counts pixels inclusively; over 0.7 is suppressed, as the original on a GPU does
    # (lib/nms/src/cuda/nms_kernel.cu; its CPU version suppresses at 0.7 too).
    test_cfg=dict(
        rpn=dict(nms_pre=6000, max_per_img=300, nms=dict(type='nms', iou_threshold=0.7, offset=1), min_bbox_size=-1),
        rcnn=dict(score_thr=0.0, nms=dict(type='nms', iou_threshold=0.3, offset=1), max_per_img=100)))
