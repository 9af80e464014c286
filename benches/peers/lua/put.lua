dofile(os.getenv("PEER_LUA") .. "/common.lua")

-- A name that the user did not have before.
function turn(n)
  local number = n * 7919 % #ids
  return send("PUT", "/Users/" .. ids[number + 1], user(number, "Family" .. number .. "x" .. n, ids[number + 1]))
end
