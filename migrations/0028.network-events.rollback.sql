-- Events are hints: without them settlement inquires later.
SET LOCAL lock_timeout = '5s';

DROP TABLE network_events;
