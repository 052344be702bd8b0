"""COCO's 80 categories, in the order in which the originals' detector knows them: ascending COCO id.

Source: ``lib/datasets/coco.py: coco.__init__`` of lichengunc/mask-faster-rcnn (the background, then the categories as
``instances_*.json`` lists them).
"""
from __future__ import annotations

COCO_CLASSES: tuple[str, ...] = tuple('''
person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,parking meter,bench,
bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee,skis,snowboard,
sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,fork,knife,spoon,
bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,potted plant,bed,dining table,
toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,
teddy bear,hair drier,toothbrush
'''.replace('\n', '').split(','))

_UNUSED_IDS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)

#: COCO's category id of every name.
COCO_IDS: dict[str, int] = dict(zip(COCO_CLASSES, (i for i in range(1, 91) if i not in _UNUSED_IDS), strict=True))
