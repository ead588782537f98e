-- For wrk: one request after another, each with the next key of a file.
--   wrk … -s verify.lua URL -- hello|verify|auth KEYS_FILE
-- The requests are built before the first is sent. With 100,000 keys they take some 20 MB; a larger
-- set is presented as a random sample of that many.

local requests, at = {}, 0

local forms = {
  hello = function(_) return wrk.format("GET", "/hello") end,
  verify = function(key)
    local headers = { ["Content-Type"] = "application/json" }
    return wrk.format("POST", "/verify", headers, '{"key":"' .. key .. '"}')
  end,
  auth = function(key) return wrk.format("GET", "/auth", { ["X-API-Key"] = key }) end,
}

function init(arguments)
  local form = forms[arguments[1]]
  for key in io.lines(arguments[2]) do
    requests[#requests + 1] = form(key)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency, _)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  print(string.format(
    '{"requests":%d,"seconds":%.6f,"errors":%d,"p50_ms":%.3f,"p99_ms":%.3f,"p999_ms":%.3f}',
    summary.requests, summary.duration / 1e6, failed, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3
  ))
end
