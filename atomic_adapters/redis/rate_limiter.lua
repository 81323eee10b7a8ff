-- Counts requests against fixed windows. A window opens with its first request.
-- KEYS: two keys per window, its own and that of the limit's overflow window. ARGV: the most keys
-- that the database may have, then for each request: its number of windows, then quota, length in
-- milliseconds and cost of each window. A request is counted against its windows in order, up to
-- the first that it exceeds. Returns used and remaining milliseconds of each window, in the order
-- of KEYS; -1 and -1 for a window that was not counted.
local max_keys = tonumber(ARGV[1])
local counts = {}
local window, argument = 0, 2
while ARGV[argument] do
    local windows, exceeded = tonumber(ARGV[argument]), false
    argument = argument + 1
    for _ = 1, windows do
        window = window + 1
        local key = KEYS[2 * window - 1]
        local quota, length = tonumber(ARGV[argument]), tonumber(ARGV[argument + 1])
        local cost = tonumber(ARGV[argument + 2])
        argument = argument + 3
        local used, remaining = -1, -1
        if not exceeded then
            remaining = redis.call('PTTL', key)
            if remaining == -2 and redis.call('DBSIZE') >= max_keys then
                -- No new key: all subjects that have none share the overflow window.
                key = KEYS[2 * window]
                remaining = redis.call('PTTL', key)
            end
            if remaining > 0 then
                used = redis.call('INCRBY', key, cost)
            else
                -- The key does not exist, has no expiry, or is in its last millisecond. Redis
                -- keeps a key through that whole millisecond, so a client that waited exactly as
                -- long as it was told would still be counted in the old window.
                redis.call('SET', key, cost, 'PX', length)
                used, remaining = cost, length
            end
            exceeded = used > quota
        end
        counts[2 * window - 1] = used
        counts[2 * window] = remaining
    end
end
return counts
