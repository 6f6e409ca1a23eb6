CLOSE unchained
