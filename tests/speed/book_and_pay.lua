-- Books two neighbouring seats of a random trip for a random rider; every booking that was answered is paid with his pay password.
local tokens, trips, token, order = {}, {}, {}, {}
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

-- An order's rider is not told in its answer, but its seats are a client's own: the rider is kept by trip and first seat.
local function post(path, rider, body)
    return string.format("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\n" ..
        "Content-Length: %d\r\n\r\n%s", path, rider, #body, body)
end

function request()
    local waiting = table.remove(order)
    if waiting then
        return post("/v1/orders/" .. waiting.id .. "/pay", waiting.rider, string.format('{"pay_password":"%s"}', os.getenv("PAY_PASSWORD")))
    end
    local trip, seat, rider = trips[math.random(#trips)], math.random(1, 39), tokens[math.random(#tokens)]
    token[trip .. "/" .. seat] = rider
    return post("/v1/orders", rider, string.format('{"trip_id":"%s","seats":["%d","%d"]}', trip, seat, seat + 1))
end

function response(status, headers, body)
    if status ~= 201 then return end
    local id, seat, trip = body:match('"id":"([^"]+)".-"seats":%["(%d+)".-"trip_id":"([^"]+)"')
    local rider = id and token[trip .. "/" .. seat]
    if rider then order[#order + 1] = { id = id, rider = rider } end
end
