"""Sample type, data set loaders and the render bank."""

from hiu_ros.interrupts import end_imports_when_run

end_imports_when_run()
