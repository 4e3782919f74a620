"""One router per noun: each route calls one use case and writes down its answer."""
