"""One live batch system: what is sent to it, asked of it and cancelled in it; and this machine as one."""
