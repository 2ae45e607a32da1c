"""What runs machines: QEMU on this machine, or an Incus elsewhere.

qemu        the driver: one verb of the port after the other
trial       whether guests really run here: boots a small one
home        the folder of one guest: its files, its fence, its marks
processes   QEMU's processes: found by uuid, ended for certain
monitor     short talks with a guest's QEMU (QMP)
machine     QEMU's command line
seed        user data and keys as a NoCloud disk
depot       images fetched from addresses that users name      shelf   templates made of them, or of machines
images      templates on this host, and disks cloned from them
serial      what a guest writes to its serial console, and a way to type there

incus       the other driver: one verb of the port after the other
incus_wire      HTTPS, operations and WebSockets of an Incus    incus_trial     whether guests really run there
incus_marks     fences and marks of runs, beside the guests     incus_images    templates there
incus_places    which member of a cluster a guest is on         incus_console   what a guest says, and typing there
incus_shape     what an instance is made of                     incus_events    what happens to guests
"""
