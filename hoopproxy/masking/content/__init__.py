"""What values look like: finds entities (card numbers, e-mail addresses, …) in what cells hold, and masks them there.

Knows neither columns nor policy: which entities matter in which fields, and to whom, is an addon's word.
"""
