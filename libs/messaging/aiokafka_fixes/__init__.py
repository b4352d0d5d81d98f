"""What aiokafka 0.14 lacks or gets wrong, a module each: to be deleted one day."""
