-- The reports are lost; each can be made again from the network's statement.
SET LOCAL lock_timeout = '5s';

DROP TABLE reconciliations;
