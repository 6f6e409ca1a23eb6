SELECT brin_summarize_new_values('events_by_position')
