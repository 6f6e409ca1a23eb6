-- From here on this session means the new tables when it names a view.
SELECT set_config('search_path', 'hookledger_rebuild, ' || current_setting('search_path'), false)
