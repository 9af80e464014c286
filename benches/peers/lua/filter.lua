dofile(os.getenv("PEER_LUA") .. "/common.lua")

function turn()
  return get(string.format("/Users?filter=userName%%20eq%%20%%22user%07d@%s%%22", pick() - 1, mail_domain))
end
