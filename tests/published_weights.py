"""Random weights of EfficientNet-Lite0 under the names of the published file."""

import re


def published(network):
    """Return a network's tensors by published names, with a last layer that nobody reads."""
    import torch

    found = {}
    for name, value in network.state_dict().items():
        new = name.replace("stem.convolution", "_conv_stem").replace("stem.norm", "_bn0")
        new = new.replace("head.convolution", "_conv_head").replace("head.norm", "_bn1")
        new = re.sub(r"^blocks", "_blocks", new)
        new = re.sub(r"(expand|depthwise|project)\.convolution", r"_\1_conv", new)
        for number, layer in enumerate(("expand", "depthwise", "project")):
            new = new.replace(f"{layer}.norm", f"_bn{number}")
        found[new] = value
    return found | {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}


def write(file, seed=0):
    """Write such weights into `file`, so that vectors differ from picture to picture."""
    import torch

    from shopkeeper.training.networks.efficientnet_lite import EfficientNetLite

    torch.manual_seed(seed)
    torch.save(published(EfficientNetLite()), file)
    return file
