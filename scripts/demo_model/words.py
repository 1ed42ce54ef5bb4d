"""The words of robot commands, and what each of them means."""

VERSION = 1
"""Raised when a sentence that used to mean one thing comes to mean another."""

MOVE_VERBS = ("move", "drive", "go", "roll", "travel", "walk", "head", "proceed", "run", "step")
DIRECTIONS = {
    "forward": ("forward", "forward", "forwards", "ahead", "straight ahead", "straight", "fwd"),
    "backward": ("backward", "backward", "backwards", "back"),
    "left": ("left", "left", "to the left", "to your left", "leftwards", "sideways to the left"),
    "right": (
        *("right", "right", "to the right", "to your right"),
        *("rightwards", "sideways to the right"),
    ),
}
MOVE_PHRASES = {
    "advance": "forward",
    "back up": "backward",
    "reverse": "backward",
    "strafe left": "left",
    "strafe right": "right",
    "slide left": "left",
    "slide right": "right",
    "shift left": "left",
    "shift right": "right",
}
METER_UNITS = ("meters", "meters", "meters", "metres", "meter", "metre", "m", "m")
CENTIMETER_UNITS = ("centimeters", "centimetres", "cm", "cm")
WORD_LENGTHS = {
    "half a meter": 0.5,
    "half a metre": 0.5,
    "a meter": 1,
    "one meter": 1,
    "one metre": 1,
    "one and a half meters": 1.5,
    "two and a half meters": 2.5,
    "two meters": 2,
    "two metres": 2,
    "three meters": 3,
    "four meters": 4,
    "five meters": 5,
    "six meters": 6,
    "seven meters": 7,
    "eight meters": 8,
    "nine meters": 9,
    "ten meters": 10,
}

ROTATE_VERBS = ("turn", "turn", "rotate", "rotate", "spin", "pivot", "swivel")
ROTATE_SIDES = {
    "left": (
        *("left", "left", "left", "to the left", "to your left"),
        *("counterclockwise", "counter-clockwise", "anticlockwise"),
    ),
    "right": ("right", "right", "right", "to the right", "to your right", "clockwise"),
}
DEGREE_UNITS = (" degrees", " degrees", " degrees", " degree", " deg", "°", "")
COMMON_ANGLES = (5, 10, 15, 20, 30, 45, 60, 75, 90, 90, 120, 135, 150, 180, 180, 270, 360)
WORD_ANGLES = {
    "ten degrees": 10,
    "fifteen degrees": 15,
    "twenty degrees": 20,
    "thirty degrees": 30,
    "forty-five degrees": 45,
    "forty five degrees": 45,
    "sixty degrees": 60,
    "ninety degrees": 90,
    "one hundred and eighty degrees": 180,
    "a hundred and eighty degrees": 180,
    "a quarter turn": 90,
    "a quarter of a turn": 90,
    "half a turn": 180,
    "a half turn": 180,
    "a full turn": 360,
    "one full turn": 360,
}
TURN_AROUND = (
    *("turn around", "turn yourself around", "make a u-turn", "do a u-turn", "make a U-turn"),
    *("spin around", "face the other way", "turn to face the other way"),
)

GOTO_VERBS = (
    *("go to", "go to", "drive to", "move to", "navigate to", "head to", "travel to"),
    *("proceed to", "walk to", "go over to", "drive over to", "head over to"),
)
PLACES = (
    *("", "", "", "point ", "position ", "coordinates ", "the coordinates ", "the point "),
    *("the position ", "location ", "waypoint ", "coordinate ", "the location "),
)
COORDINATES = (
    *("{x}, {y}", "{x},{y}", "({x}, {y})", "({x},{y})", "{x} {y}", "{x} and {y}"),
    *("x {x} y {y}", "x {x}, y {y}", "x={x} y={y}", "x={x}, y={y}", "x {x} and y {y}"),
    *("(x={x}, y={y})", "x={x},y={y}", "x: {x}, y: {y}"),
)

PHOTO_VERBS = ("take", "take", "take", "capture", "snap", "shoot", "make", "get", "grab", "record")
PHOTOS = ("a photo", "a photo", "a picture", "a picture", "an image", "a snapshot", "a photograph")
PHOTO_VERBLESS = ("photo", "picture", "snapshot", "a photo", "one photo", "camera shot")
PHOTO_EXTRAS = (
    *("of the {noun}", "of the {adjective} {noun}", "of my {noun}", "of {name}", "of a {noun}"),
    *(
        "",
        "",
        "",
        "",
        "",
        "",
        "of this",
        "of what you see",
        "of the room",
        "of that",
        "with your camera",
    ),
    *("with the camera", "of the scene", "from here", "of this place", "of your surroundings"),
)
PHOTO_PHRASES = (
    *("take photo", "take picture", "photograph this", "photograph the room", "take one photo"),
    *("take a pic", "snap a pic", "take a shot with the camera", "use the camera to take a photo"),
    *("photograph what you see", "save a picture", "capture a camera image", "take another photo"),
    *("take another picture", "use your camera to take a picture", "take a new picture"),
)

RETURN_VERBS = (
    *("return to", "return to", "go back to", "come back to", "head back to", "drive back to"),
    *("move back to", "get back to", "travel back to", "navigate back to", "walk back to"),
)
STARTS = (
    *("start", "start", "the start", "the starting point", "the start point", "base", "the base"),
    *("home", "the starting position", "the origin", "where you started", "your starting point"),
    *("the beginning", "home base", "the home position", "the place where you started", "origin"),
    *("your home position", "the start position", "your base", "the dock", "the charging station"),
    *("your dock", "your charging station", "the initial position", "where you came from"),
)
RETURN_PHRASES = (
    *("return", "return home", "go home", "come home", "head home", "come back", "drive home"),
    *("return now", "head back home", "go back home", "come back home"),
)
RETURN_VERBLESS = ("back to start", "back to the start", "back to base", "back home")

STOP_PHRASES = (
    *("stop", "stop", "stop", "halt", "halt", "freeze", "stop moving", "stop driving", "stop it"),
    *("stop right there", "stop there", "stop here", "hold still", "stand still", "stay there"),
    *("stop immediately", "stop at once", "stop right now", "stay where you are", "halt now"),
    *("come to a stop", "come to a halt", "cease moving", "stop turning", "stop your motors"),
    *("stop the motors", "stop everything", "stop what you are doing", "cease all movement"),
    *("stop all movement", "make a stop", "stay put", "freeze right there", "hit the brakes"),
    *(
        "apply the brakes",
        "brake",
        "stop rotating",
        "stop rolling",
        "halt all motors",
        "stop the robot",
    ),
)
STOP_VERBLESS = (
    *("emergency stop", "don't move", "do not move", "full stop", "don't move any further"),
    *("do not move any more", "no more moving", "don't go any further"),
)

OPENERS = (
    *("robot, ", "robot ", "hey robot, ", "ok robot, ", "okay, ", "ok, ", "now ", "hello robot, "),
    *("next, ", "then ", "hey, ", "and now "),
)
POLITENESS = (
    *("please ", "please ", "please ", "could you ", "can you ", "could you please "),
    *("can you please ", "would you ", "would you please ", "i want you to ", "you should "),
)
CLOSERS = (
    *(" please", ", please", " now", ", robot", " thanks", ", thank you", " right away"),
    *(" for me", " immediately", " right now"),
)
ENDINGS = ("", "", "", "", ".", ".", "!")
