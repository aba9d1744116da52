"""Targets, losses and the training loop."""

from hiu_ros.interrupts import end_imports_when_run

end_imports_when_run()
