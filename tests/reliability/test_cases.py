"""Every case that breaking handdata on purpose found, with the test that guards it; one that is gone is named here."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
TEXTS = "reliability/test_text_files.py"
KILLED = "reliability/test_killed.py"
PICTURES = "reliability/test_pictures.py"
PICKLES = "converters/test_pickle_numpy.py"
CHECKPOINTS = "reliability/test_damaged_checkpoints.py"
SHARDS = "reliability/test_damaged_shards.py"

CASES = {
    "box_1e6_takes_8GB": (
        "converters/test_dexter.py",
        "test_a_box_that_no_picture_has_is_refused_before_any_work_or_skipped_alone",
    ),
    "boxes_long_header": (TEXTS, "test_boxes_that_are_none_leave_the_session_as_it_was"),
    "checkpoint_flipped_byte": (CHECKPOINTS, "test_a_flipped_byte_is_one_line_in_every_command"),
    "ctrl_c_while_importing": ("reliability/test_interrupted.py", "test_while_the_command_line_is_imported"),
    "damaged_shard_never_repaired": (SHARDS, "test_converting_again_mends_every_lost_sector_to_the_same_bytes"),
    "dexter1_1e7": ("converters/test_dexter1.py", "test_a_damaged_block_is_named_or_skipped_alone"),
    "egodexter_inf": ("converters/test_egodexter.py", "test_a_damaged_line_is_named_or_skipped_alone"),
    "escape_codes": ("files/test_text.py", "test_what_is_no_plain_json_is_told"),
    "evaluate_full_disk": (
        "reliability/test_full_disk.py",
        "test_an_evaluation_leaves_nothing_at_whatever_size_the_room_ends",
    ),
    "export_damaged_labels": ("exchange/test_export.py", "test_damaged_labels_are_one_line_and_found"),
    "export_half_picture": (KILLED, "test_an_export_that_is_killed_leaves_whole_pictures_alone"),
    "export_two_samples_one_name": (
        "exchange/test_export.py",
        "test_samples_that_differ_in_a_separator_have_names_that_differ",
    ),
    "full_disk_no_name": (KILLED, "test_a_full_disk_names_the_file"),
    "import_coco_1e400": (TEXTS, "test_boxes_that_are_none_leave_the_session_as_it_was"),
    "import_csv_mac": (TEXTS, "test_lines_that_an_old_macintosh_ended_are_read"),
    "import_doubt": (TEXTS, "test_boxes_that_are_none_leave_the_session_as_it_was"),
    "import_empty_mot_wipes": (TEXTS, "test_boxes_that_are_none_leave_the_session_as_it_was"),
    "index_deep": (TEXTS, "test_an_index_that_is_none"),
    "index_path_outside": ("shards/test_dataset.py", "test_an_index_that_does_not_say_where_its_shards_lie"),
    "index_verify_splits": (SHARDS, "test_an_index_whose_splits_are_none_is_a_finding"),
    "inf_in_shard": ("converters/test_dexter.py", "test_a_damaged_line_is_named_or_skipped_alone"),
    "journal_deep": (TEXTS, "test_a_journal_with_a_line_that_is_no_json"),
    "journal_nan": (TEXTS, "test_a_journal_with_a_line_that_is_no_edit"),
    "jpg_cut_accepted": ("pictures/test_picture_file.py", "test_a_picture_cut_short_within_its_frame_is_refused"),
    "keyframes_digits": (TEXTS, "test_keyframes_that_are_none"),
    "keyframes_latin1": (TEXTS, "test_keyframes_that_are_none"),
    "label_1e6_takes_all_memory": (
        "converters/test_rhd.py",
        "test_a_point_a_million_pixels_away_neither_widens_the_crop_nor_takes_memory",
    ),
    "mat_nested_deflate": ("converters/test_mat5.py", "test_what_is_deflated_twice_is_not_looked_into"),
    "opencv_lines_on_stderr": (
        "pictures/test_picture_file.py",
        "test_a_file_that_claims_more_than_it_holds_is_refused_before_any_work",
    ),
    "out_deletes_foreign_files": ("conversion/test_convert.py", "test_files_of_others_in_the_folder_stay"),
    "pickle_dtype_syntax": (PICKLES, "test_a_hostile_pickle_is_one_short_line_at_once"),
    "pickle_int_for_bytes": (PICKLES, "test_a_hostile_pickle_is_one_short_line_at_once"),
    "pickle_line_of_1MB": (PICKLES, "test_a_hostile_pickle_is_one_short_line_at_once"),
    "pickle_shared_lists": (PICKLES, "test_lists_that_share_others_stay_shared"),
    "png_60000": (PICTURES, "test_a_picture_that_claims_to_be_huge_is_one_line_in_every_command"),
    "pred_csv_bom": (TEXTS, "test_predictions_that_a_table_program_wrote_with_a_mark_are_read"),
    "pred_csv_keypoint_twice": (TEXTS, "test_predictions_as_csv_that_are_none"),
    "pred_csv_long_column": (TEXTS, "test_predictions_as_csv_that_are_none"),
    "pred_csv_utf16": (TEXTS, "test_predictions_as_csv_that_are_none"),
    "pred_h5_attributes": (
        "reliability/test_damaged_predictions.py",
        "test_nonsense_under_a_fitting_hash_is_one_line",
    ),
    "pred_inf": (TEXTS, "test_predictions_as_csv_that_are_none"),
    "pred_json_shapes": (TEXTS, "test_predictions_as_json_that_are_none"),
    "recipe_deep": (TEXTS, "test_a_recipe_that_is_none"),
    "recipe_utf16": (TEXTS, "test_a_recipe_that_is_none"),
    "reference_deep": (TEXTS, "test_result_files_of_the_thesis_that_are_none"),
    "reference_numbers": (TEXTS, "test_result_files_of_the_thesis_that_are_none"),
    "report_damaged_run": (TEXTS, "test_a_run_that_no_page_can_show"),
    "report_stale_partials": (KILLED, "test_what_a_killed_report_left_goes_with_the_next"),
    "rhd_inf_K": ("converters/test_rhd.py", "test_a_label_that_cannot_be_used_is_named_and_can_be_skipped"),
    "run_folder_gone": (CHECKPOINTS, "test_a_run_that_is_removed_while_it_trains_is_one_line"),
    "runs_one_cut_config": (TEXTS, "test_a_damaged_run_does_not_hide_the_others"),
    "server_edit_surrogate": (TEXTS, "test_an_edit_that_is_none_is_refused_in_words_that_can_be_sent"),
    "set_betas": (TEXTS, "test_settings_that_no_optimiser_takes"),
    "shard_repacked": (SHARDS, "test_a_shard_that_another_program_wrote_is_named"),
    "shard_segfault": (SHARDS, "test_verify_finds_every_lost_sector"),
    "shard_zeroed_sector_hangs": (SHARDS, "test_verify_finds_every_lost_sector"),
    "state_list": (SHARDS, "test_a_state_that_is_none_makes_the_shard_again"),
    "synth_ctrl_c_twice_hangs": ("reliability/test_interrupted.py", "test_twice_while_many_processes_render"),
    "synth_stuck_after_first_write": (KILLED, "test_a_rendering_goes_on_after_it_was_killed_at_its_first_write"),
    "two_evaluates": (
        "reliability/test_full_disk.py",
        "test_two_commands_for_one_run_at_once_end_with_one_whole_result_and_one_line",
    ),
    "two_exports": (KILLED, "test_two_exports_to_one_folder_at_once_are_one_whole_and_one_line"),
    "unreadable_picture": ("converters/test_copies.py", "test_a_picture_that_cannot_be_read_is_named_or_left_out"),
    "verify_attribute_gone": (SHARDS, "test_a_shard_that_another_program_wrote_is_named"),
    "verify_non_ascii_id": (SHARDS, "test_a_shard_that_another_program_wrote_is_named"),
    "weights_pth_damaged": (CHECKPOINTS, "test_damaged_weights_of_pytorch_are_one_line_whatever_is_damaged"),
}

COPIES = "converters/test_copies.py"
READERS = {
    "G1_resized_pictures": (COPIES, "test_a_half_size_copy_is_refused_by_convert_and_found_by_the_doctor"),
    "G5_unreadable_picture": (COPIES, "test_a_picture_that_cannot_be_read_is_named_or_left_out"),
    "G6_boxes_match_nothing": (COPIES, "test_boxes_of_other_pictures_are_refused"),
    "G7_utf16_label": (COPIES, "test_a_label_file_that_cannot_be_read_is_named_or_left_out"),
    "G8_stereo_bb_only": (COPIES, "test_one_camera_family_is_told_and_how_to_convert_it"),
    "G9_cm_reading": ("converters/test_ganerated.py", "test_the_size_of_the_hand_tells_the_unit"),
    "G10_layouts": (COPIES, "test_a_packaging_is_named_for_what_it_is"),
    "G11_egodexter_registered_pictures": (COPIES, "test_registered_pictures_are_not_taken_for_the_colour_camera_s"),
}


@pytest.mark.parametrize("case", [*CASES, *READERS])
def test_a_case_has_its_test(case):
    file, name = (CASES | READERS)[case]
    found = {node.name for node in ast.walk(ast.parse((TESTS / file).read_text())) if isinstance(node, ast.FunctionDef)}

    assert name in found
