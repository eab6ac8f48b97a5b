"""What AVR's telephone system offers beside its sockets: control of the call, instructions."""
