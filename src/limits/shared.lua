-- Takes one request from each key, or from none if it does not fit everywhere: allowance.rs in Redis, in one round trip.
-- KEYS: who is counted. ARGV: for each key, the interval, the burst and the debt the caller knows of, in microseconds.
-- Returns the debts, then 1 if the request fits. A key holds the time at which its debt is paid, by this server's clock.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local debts, fits = {}, true
for i, key in ipairs(KEYS) do
  local interval, burst, known = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local paid = tonumber(redis.call('GET', key) or 0)
  -- A server that was flushed or replaced learns again what the replicas remember.
  debts[i] = math.max(paid - now, known)
  fits = fits and debts[i] + interval <= burst
end
if fits then
  for i, key in ipairs(KEYS) do
    debts[i] = debts[i] + tonumber(ARGV[3 * i - 2])
    redis.call('SET', key, string.format('%.0f', now + debts[i]), 'PX', math.ceil(debts[i] / 1000))
  end
end
debts[#debts + 1] = fits and 1 or 0
return debts
