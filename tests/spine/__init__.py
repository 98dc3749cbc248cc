"""One operation all the way, on the real local stack: its processes are killed, its vendors fail, its input is bad."""
