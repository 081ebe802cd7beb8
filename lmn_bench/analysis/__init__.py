"""From records to statements: pure functions on plain data.

The process is the unit of replication throughout: a process gives one value per metric, and every
interval comes from the spread between processes.
"""
