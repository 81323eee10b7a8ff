-- Count one request against each window (KEYS) in order, up to the first that is exceeded.
-- ARGV: quota and length in milliseconds of each. Returns used and milliseconds left of each
-- window that was counted. A window opens with its first request.
local counted = {}
for i, key in ipairs(KEYS) do
    local quota, length = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    local used, left = 1, redis.call('PTTL', key)
    if left > 0 then
        used = redis.call('INCR', key)
    else
        -- Not there, without an end, or in its last millisecond: Redis keeps a key for all of
        -- that one, and who waited as told would be early in it.
        redis.call('SET', key, 1, 'PX', length)
        left = length
    end
    counted[#counted + 1] = used
    counted[#counted + 1] = left
    if used > quota then
        break
    end
end
return counted
