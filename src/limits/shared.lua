-- Counts one request for each key, or for none if it does not fit everywhere: settings/quota.rs in
-- Redis, in one round trip. A key holds its theoretical arrival time (TAT) by this server's clock.
-- KEYS: the subjects. ARGV, for each key: the interval, the burst, and the lead of the TAT that the
-- caller knows of, all in microseconds. Returns the leads, then 1 if the request fits.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local leads, fits = {}, true
for i, key in ipairs(KEYS) do
  local interval, burst, known = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local tat = tonumber(redis.call('GET', key) or 0)
  -- After Redis was flushed or replaced, the replicas restore what they know.
  leads[i] = math.max(tat - now, known)
  fits = fits and leads[i] + interval <= burst
end
if fits then
  for i, key in ipairs(KEYS) do
    leads[i] = leads[i] + tonumber(ARGV[3 * i - 2])
    redis.call('SET', key, string.format('%.0f', now + leads[i]), 'PX', math.ceil(leads[i] / 1000))
  end
end
leads[#leads + 1] = fits and 1 or 0
return leads
