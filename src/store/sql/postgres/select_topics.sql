SELECT * FROM topics ORDER BY name
