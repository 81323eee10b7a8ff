-- Sends the requests of a file in turn, and tells the outcome as one line of JSON.
-- Arguments: the file, and a prefix for Idempotency-Keys. A line of the file is
-- METHOD, PATH, API KEY and BODY, with tabs between them; with a body, every request gets an
-- Idempotency-Key of its own. All that can be put together beforehand is: the driver runs on the
-- machine that it measures.

local before, after, count, sent = {}, {}, 0, 0
local prefix

function init(args)
  prefix = args[2] .. "-" .. tostring(math.random(1, 1e9)) .. "-"
  local host = wrk.host .. ":" .. wrk.port
  for line in io.lines(args[1]) do
    local method, path, key, body = line:match("^(%S+)\t(%S+)\t(%S+)\t(.*)$")
    local head = method .. " " .. path .. " HTTP/1.1\r\nHost: " .. host ..
      "\r\nAuthorization: Bearer " .. key .. "\r\n"
    count = count + 1
    if body == "" then
      before[count], after[count] = head .. "\r\n", false
    else
      before[count] = head .. "Content-Type: application/json\r\nContent-Length: " .. #body ..
        "\r\nIdempotency-Key: " .. prefix
      after[count] = "\r\n\r\n" .. body
    end
  end
end

function request()
  sent = sent + 1
  local turn = sent % count + 1
  local rest = after[turn]
  if rest then
    return before[turn] .. sent .. rest
  end
  return before[turn]
end

-- No response(): wrk itself counts every status above 399 without calling into Lua.
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "refused": %d, "broken": %d, "timeouts": %d, ' ..
    '"p50_us": %d, "p99_us": %d}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write, errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
