-- Endpoints, their secrets and what was sent to them are lost.
SET LOCAL lock_timeout = '5s';

DROP TABLE webhook_attempts;
DROP TABLE webhook_deliveries;
DROP TABLE webhook_endpoints;
DROP TABLE webhook_streams;

-- The version before does not know the scopes of webhooks: keys lose them, and those that have no
-- other are revoked.
ALTER TABLE api_keys DROP CONSTRAINT api_keys_known_scopes;
ALTER TABLE api_keys DISABLE TRIGGER api_keys_stay_whose_they_are;
UPDATE api_keys
   SET scopes = array_remove(array_remove(scopes, 'webhooks:read'), 'webhooks:write')
 WHERE scopes && '{webhooks:read,webhooks:write}'
   AND NOT scopes <@ '{webhooks:read,webhooks:write}';
UPDATE api_keys
   SET revoked_at = coalesce(revoked_at, now()), scopes = '{payments:read}'
 WHERE scopes <@ '{webhooks:read,webhooks:write}';
ALTER TABLE api_keys ENABLE TRIGGER api_keys_stay_whose_they_are;
ALTER TABLE api_keys
    ADD CONSTRAINT api_keys_known_scopes
    CHECK (cardinality(scopes) > 0 AND scopes <@
           '{payments:write,payments:read,accounts:write,accounts:read,refunds:write,events:read}'::text[]);
