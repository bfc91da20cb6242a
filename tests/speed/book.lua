-- Books two neighbouring seats of a random trip for a random rider. wrk runs it in each of its threads.
-- SEATS a trip has; WANTED seats a booking; each has an idempotency key of its own; of a hundred bookings FAULTY fail in their last step.
local tokens, trips = {}, {}
local number, sent = 0, 0
local started = os.time()
local in_order, threads = os.getenv("IN_ORDER") == "true", tonumber(os.getenv("THREADS"))
local seats, wanted, faulty = tonumber(os.getenv("SEATS")), tonumber(os.getenv("WANTED")), tonumber(os.getenv("FAULTY"))

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
    sent = sent + 1
    local seat = math.random(1, seats - wanted + 1)
    if in_order then seat = ((sent - 1) * threads + seed - 1) * wanted % (seats - wanted) + 1 end
    local list = wanted == 1 and string.format('"%d"', seat) or string.format('"%d","%d"', seat, seat + 1)
    local body = string.format('{"trip_id":"%s","seats":[%s]}', trips[math.random(#trips)], list)
    local headers = {
        ["content-type"] = "application/json",
        ["authorization"] = "Bearer " .. tokens[math.random(#tokens)],
        ["idempotency-key"] = string.format("%d-%d-%d", started, seed, sent),
    }
    if math.random(100) <= faulty then headers["farebox-fault"] = "order_add_cancle.before=error" end
    return wrk.format("POST", "/v1/orders", headers, body)
end
