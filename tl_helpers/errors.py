"""The one kind of error that is meant for a student's eyes, and how its messages count things."""


class CourseError(Exception):
    """Something a reader of the course can fix: it says what was found, what was expected, and what to try.

    The command line prints it as one message and exits with code 2; a notebook shows it as its last line.
    """


class DivergedError(CourseError):
    """A loss that became infinite or NaN: to a search, just one bad setting among others."""


def out_of_memory(error: BaseException) -> bool:
    """Whether the error means that a device is full: Python's own, or any with torch's words, since not every device has a
    class of its own for that."""
    words = ("out of memory", "can't allocate memory", "not enough memory")  # a GPU, a CPU, Windows
    return isinstance(error, MemoryError) or any(one in str(error) for one in words)


def count(n: int, thing: str) -> str:
    """ "1 picture", "2 pictures"."""
    return f"{n} {thing}{'' if n == 1 else 's'}"
