DELETE FROM unassigned_callbacks WHERE id = ?1
