DROP TABLE api_keys;
DROP TABLE merchants;
DROP FUNCTION refuse_change();
