DELETE FROM topics WHERE name = $1
