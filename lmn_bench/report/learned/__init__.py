"""What a report says of trainings: answers, charts, tables, method and data of mode learn."""
