-- Count requests, one after the other. ARGV: of each request the number of its windows, and of
-- each window quota, length in milliseconds and cost; KEYS: the windows. A request is counted
-- against its windows in order, up to the first that is exceeded. Returns used and milliseconds
-- left of each window, in order, with -1 and -1 for those not counted. A window opens with its
-- first request.
local counted = {}
local window, argument = 0, 1
while ARGV[argument] do
    local windows, exceeded = tonumber(ARGV[argument]), false
    argument = argument + 1
    for _ = 1, windows do
        window = window + 1
        local key = KEYS[window]
        local quota, length = tonumber(ARGV[argument]), tonumber(ARGV[argument + 1])
        local cost = tonumber(ARGV[argument + 2])
        argument = argument + 3
        local used, left = -1, -1
        if not exceeded then
            left = redis.call('PTTL', key)
            if left > 0 then
                used = redis.call('INCRBY', key, cost)
            else
                -- Not there, without an end, or in its last millisecond: Redis keeps a key for
                -- all of that one, and who waited as told would be early in it.
                redis.call('SET', key, cost, 'PX', length)
                used, left = cost, length
            end
            exceeded = used > quota
        end
        counted[2 * window - 1] = used
        counted[2 * window] = left
    end
end
return counted
