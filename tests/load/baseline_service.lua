-- Books two neighbouring seats of a random trip with the plain service.
function init(args)
    shuffle()
end

function request()
    local seat = math.random(1, 39)
    local body = string.format('{"trip":%d,"rider":%d,"seats":[%d,%d]}', math.random(50000), math.random(20000), seat, seat + 1)
    return post("/orders", "none", "none", body)
end
