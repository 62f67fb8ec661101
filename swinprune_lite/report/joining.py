def read_records(p): pass
