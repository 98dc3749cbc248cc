"""An in-process world: fakes of storage, broker and both vendors on a virtual clock, with a kill at any I/O step."""
