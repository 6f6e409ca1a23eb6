FETCH 1000 FROM unchained
