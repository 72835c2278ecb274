-- Sliding minutes (GCRA) of many calls at once: what gathered while the last batch was under way, on the one clock that
-- all workers share.
-- A counter is a theoretical arrival time (TAT, in microseconds): the moment at which it would be empty again. It may
-- lie one minute ahead of now; each unit moves it by one minute / limit.
--   KEYS     the counters, each once
--   ARGV[1]  JSON: the limit of each counter, in their order
--   ARGV[2]  JSON: for each call 1 (may it?) or 0 (a correction), how many counters it has, and for each of those its
--            place in KEYS and the units; all in one flat list
-- Answers one string: the microseconds until each counter was empty at first, a semicolon, then for each call whether
-- it is allowed (1 or 0). A refused call moves nothing. Who asked can retell from this how every counter stood when.
local MINUTE = 60000000
local limits, asks = cjson.decode(ARGV[1]), cjson.decode(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local tat, before, changed = redis.call('MGET', unpack(KEYS)), {}, {}
for place = 1, #KEYS do
    tat[place] = math.max(tonumber(tat[place] or 0), now)
    before[place] = string.format('%.0f', tat[place] - now)
end
local answer, at, last = {}, 1, #asks
while at <= last do
    local final = at + 2 * asks[at + 1]
    local allowed = true
    if asks[at] == 1 then
        for i = at + 2, final, 2 do
            local place = asks[i]
            if tat[place] + asks[i + 1] * MINUTE / limits[place] - now > MINUTE then
                allowed = false
            end
        end
    end
    if allowed then
        for i = at + 2, final, 2 do
            local place = asks[i]
            tat[place] = math.max(tat[place] + asks[i + 1] * MINUTE / limits[place], now)
            changed[place] = true
        end
    end
    answer[#answer + 1] = allowed and '1' or '0'
    at = final + 2
end
for place in pairs(changed) do
    local left = tat[place] - now
    if left > 0 then
        redis.call('SET', KEYS[place], string.format('%.3f', tat[place]), 'PX', math.ceil(left / 1000) + 1000)
    else
        redis.call('DEL', KEYS[place])
    end
end
return table.concat(before, ' ') .. ';' .. table.concat(answer)
