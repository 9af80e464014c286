dofile(os.getenv("PEER_LUA") .. "/common.lua")

-- One user is put in, another one is taken out, in turns. The first `ahead` of the others are
-- members from the start, so whoever is taken out was put in long before: no request changes nothing.
local others = #ids - members

local function operation(n)
  local place = math.floor(n / 2)
  if n % 2 == 0 then
    local id = ids[members + 1 + (place + ahead) % others]
    return '{"op":"add","path":"members","value":[{"value":"' .. id .. '"}]}'
  end
  local id = ids[members + 1 + place % others]
  if remove_by_filter then
    return '{"op":"remove","path":"members[value eq \\"' .. id .. '\\"]"}'
  end
  return '{"op":"remove","path":"members","value":[{"value":"' .. id .. '"}]}'
end

function turn(n)
  return send("PATCH", "/Groups/" .. group,
    '{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[' .. operation(n) .. "]}")
end
