dofile(os.getenv("PEER_LUA") .. "/common.lua")

function turn(n)
  return send("POST", "/Users", user(first_new + n, "Family" .. first_new + n))
end
