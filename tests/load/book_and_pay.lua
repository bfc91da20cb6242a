-- Books two neighbouring seats of a random trip for a random rider; every booking that was answered
-- is paid with the rider's pay password.
local tokens, trips, sent = {}, {}, 0
-- An answer does not name its rider: who booked is remembered by trip and first seat, until their
-- order is known and waits to be paid.
local riders, booked = {}, {}
local started, pay_password = os.time(), os.getenv("PAY_PASSWORD")

function init(args)
    tokens, trips = riders_and_trips()
end

function request()
    sent = sent + 1
    local key = string.format("both-%d-%d-%d", started, nth, sent)
    local order = table.remove(booked)
    if order then
        return post("/v1/orders/" .. order.id .. "/pay", order.rider, key, string.format('{"pay_password":"%s"}', pay_password))
    end
    local trip, seat, rider = trips[math.random(#trips)], math.random(1, 39), tokens[math.random(#tokens)]
    riders[trip .. "/" .. seat] = rider
    return post("/v1/orders", rider, key, string.format('{"trip_id":"%s","seats":["%d","%d"]}', trip, seat, seat + 1))
end

function response(status, headers, body)
    if status ~= 201 then return end
    local id, seat, trip = body:match('"id":"([^"]+)".-"seats":%["(%d+)".-"trip_id":"([^"]+)"')
    local rider = id and riders[trip .. "/" .. seat]
    if rider then booked[#booked + 1] = { id = id, rider = rider } end
end
