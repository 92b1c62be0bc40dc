"""Errors whose one line is meant for the person who called heatlift."""


class HeatliftError(Exception):
    """Something the caller can mend; the message says what was wrong and what to do next.

    The command line prints the message alone and ends with status 2.
    """


class Refused(HeatliftError):
    """A method would be wrong on this network, so it is not run; the message says why."""


class NetworkFailed(HeatliftError, RuntimeError):
    """The network raised an error on some images, or returned what is no logits of them."""


class RunEnds(HeatliftError):
    """No further figure can be had of any image, so that none gets a failed row: the run ends here."""


class NetworkChanged(RunEnds):
    """The network changed its own weights while it ran: no further figure is of the one that began."""


class DeviceFailed(RunEnds):
    """The device gave out, such as a GPU after an illegal access: this process can't compute on it again."""


def first_line(error: BaseException) -> str:
    """An error's first line, to be quoted in our own; its type where it says nothing."""
    text = str(error).strip().splitlines()
    return shown(text[0], 300) if text else type(error).__name__


def shown(text: str, longest: int = 80) -> str:
    """Text of whatever origin as it may stand in a line: on one, cut where it is long.

    What a terminal would act on, or what turns the order of letters around, is written as an escape.
    """
    cut = f"{text[:longest]}..." if len(text) > longest else text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or in the machine."""
    # By its name, since what only reads a run does without torch.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    # On the processor torch raises a plain RuntimeError.
    text = str(error)
    return isinstance(error, RuntimeError) and ("can't allocate memory" in text or "out of memory" in text)


DEVICE = ("CUDA error", "CUDA driver error", "cuDNN error", "HIP error")
"""What torch's messages begin with where the device gave out."""


def device_failure(error: BaseException) -> DeviceFailed | None:
    """What there is to say of an error by which a device gave out; None of any other."""
    # By its name, as above.
    named = type(error).__name__ == "AcceleratorError"
    if named or (isinstance(error, RuntimeError) and str(error).startswith(DEVICE)):
        return DeviceFailed(
            f"the device failed ({first_line(error)}): what is finished is kept, "
            "the same command goes on from there"
        )
    return None


def let_through(error: BaseException) -> None:
    """Raise what is the machine's failure, and not that of the code that met it.

    Raises:
        RuntimeError, MemoryError: the error itself, where memory ran out.
        DeviceFailed: the device gave out; whatever runs on it next would fail as well.
    """
    if out_of_memory(error):
        raise error
    if failure := device_failure(error):
        raise failure from error
