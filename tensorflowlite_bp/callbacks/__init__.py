"""What happens around training: Keras' callbacks under Keras' names."""

from .callback import Callback, CallbackList
from .control import LambdaCallback, LearningRateScheduler, TerminateOnNaN
from .history import CSVLogger, History, ProgbarLogger
from .monitor import EarlyStopping, ModelCheckpoint, MonitorCallback, ReduceLROnPlateau

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "MonitorCallback",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]
