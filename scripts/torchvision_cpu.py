"""Makes a CUDA-built torchvision importable beside a CPU build of torch.

Package indexes pair a CPU torch with a torchvision whose operators need CUDA; importing it then fails with `operator
torchvision::nms does not exist`, and ultralytics imports it before it trains, validates or predicts. Call
`make_importable` first. For training and tests only: elsewhere install a matching pair.
"""

import sys
import types

_META = "torchvision._meta_registrations"


def make_importable() -> bool:
    """Import torchvision, without its operators where they are missing; returns whether it came whole.

    Without the operators non-maximum suppression is done by ultralytics' own implementation.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "does not exist" not in str(error):
            raise
    else:
        return True
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    sys.modules[_META] = types.ModuleType(_META)
    import torchvision
    from ultralytics.utils.nms import TorchNMS

    torchvision.ops.nms = torchvision.ops.boxes.nms = TorchNMS.nms
    return False
