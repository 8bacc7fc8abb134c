"""What can be chosen about formats. Imports nothing, for the command line's help."""

IMPORT_FORMATS = ("auto", "png", "coco", "ytvos", "cvat", "label-studio", "labelme", "sam2-json")
EXPORT_FORMATS = ("png", "coco", "ytvos", "cvat", "cvat-video", "label-studio", "labelme", "sam2-json")
FRAMES_FROM = ("auto", "names", "numbers", "order")
OBJECTS = ("auto", "labels", "shapes")
DEFAULT_PHRASE = "the {label}"
