"""What can go wrong for a user, as one small tree.

SightlinesError            everything below; a message says what, where and the cure
├── UnsupportedSystemError this is not Linux
├── CheckoutError          the code that would run is that of another checkout
├── ConfigError            a config file or an argument asks for something that cannot be
├── DataError              an archive, an image folder or an image is not what it should be
│   ├── MissingSourceError the images are not on this machine
│   └── UnreadableError    a photograph cannot be decoded
├── WeightsError           a weight file does not fit its model or is damaged
├── ResultError            a file of an earlier stage is missing, damaged or of another experiment
├── DiskError              too little room, or a folder that cannot be written
├── ShareError             results cannot be shared or pulled: stale, no remote, a changed host key
└── TrainingError          training cannot go on (a loss is not finite, a lock is held)

SchemaError, which is none of them, is a fault of the code. What all of these say is in no digest.
"""


class SightlinesError(Exception):
    """Base of all errors that a user can cause and cure."""


class UnsupportedSystemError(SightlinesError):
    """This system is not Linux."""


class CheckoutError(SightlinesError):
    """The code that would run is that of another checkout."""


class ConfigError(SightlinesError):
    """A config file or an argument asks for something that cannot be."""


class DataError(SightlinesError):
    """An archive, an image folder or an image is not what it should be."""


class MissingSourceError(DataError):
    """The images that a dataset is made from are not on this machine."""


class UnreadableError(DataError):
    """A photograph that cannot be decoded; the message says why."""


class WeightsError(SightlinesError):
    """A weight file does not fit its model, or is damaged."""


class ResultError(SightlinesError):
    """A file of an earlier stage is missing, damaged, or of another experiment."""


class DiskError(SightlinesError):
    """Too little room, or a folder that cannot be written."""


class TrainingError(SightlinesError):
    """Training cannot go on."""


class ShareError(SightlinesError):
    """Results cannot be shared or pulled."""


class SchemaError(Exception):
    """A table is not what the module that makes it declares: a fault of that module."""
