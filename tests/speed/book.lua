-- Books two neighbouring seats of a random trip for a random rider. wrk runs it in each of its threads.
local tokens, trips = {}, {}
local number = 0

function setup(thread)
    number = number + 1
    thread:set("seed", number)
end

local function lines(name)
    local list = {}
    for line in io.lines(os.getenv(name)) do list[#list + 1] = line end
    return list
end

function init(args)
    math.randomseed(seed * 7919 + os.time())
    tokens, trips = lines("TOKENS"), lines("TRIPS")
end

function request()
    local seat = math.random(1, 39)
    local body = string.format('{"trip_id":"%s","seats":["%d","%d"]}', trips[math.random(#trips)], seat, seat + 1)
    return wrk.format("POST", "/v1/orders", {
        ["content-type"] = "application/json",
        ["authorization"] = "Bearer " .. tokens[math.random(#tokens)],
    }, body)
end

function done(summary, latency, requests)
    local wrong = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
    io.write(string.format('{"requests":%d,"micros":%d,"p50":%d,"p99":%d,"refused":%d,"wrong":%d}\n', summary.requests,
        summary.duration, latency:percentile(50), latency:percentile(99), summary.errors.status, wrong))
end
